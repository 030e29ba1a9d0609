# The JIT compiler is most of the package's weight and nothing here needs it; without its library PostgreSQL goes on quietly.
rm -rf /usr/lib/postgresql/15/lib/bitcode /usr/lib/postgresql/15/lib/llvmjit* /usr/lib/x86_64-linux-gnu/libLLVM* /usr/lib/llvm-*
rm -rf /usr/share/postgresql/15/man /usr/lib/x86_64-linux-gnu/libz3.so* /var/lib/postgresql/15
install -d -m 3777 -o postgres -g postgres /var/run/postgresql
install -d -m 0700 -o postgres -g postgres /var/lib/postgresql /var/lib/postgresql/data
chmod 1777 /var/lib/postgresql
chmod 1777 /var/lib/postgresql/data
install -d -m 0755 /docker-entrypoint-initdb.d
