printf '[rabbitmq_management].\n' > /etc/rabbitmq/enabled_plugins
rm -rf /var/lib/rabbitmq
install -d -m 0777 -o rabbitmq -g rabbitmq /var/lib/rabbitmq
install -d -m 0777 -o rabbitmq -g rabbitmq /var/log/rabbitmq /var/run/rabbitmq
