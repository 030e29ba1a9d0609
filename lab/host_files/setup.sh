# Runs as root inside the new host's root; the packages are installed, the folder "files" is unpacked over it.
useradd --create-home --shell /bin/bash --groups sudo,systemd-journal ops
install -d -m 0700 -o ops -g ops /home/ops/.ssh
printf 'ops ALL=(ALL) NOPASSWD:ALL\n' > /etc/sudoers.d/ops
chmod 0440 /etc/sudoers.d/ops
rm -f /etc/ssh/ssh_host_*_key*
: > /etc/machine-id
rm -f /var/lib/dbus/machine-id
ln -s /etc/machine-id /var/lib/dbus/machine-id
# Debian's iptables in its nft form is what a Debian 12 host has.
update-alternatives --set iptables /usr/sbin/iptables-nft >/dev/null
systemctl enable lab-boot-id.service lab-rshared.service lab-ssh-hostkey.service ssh.service >/dev/null 2>&1
systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
  getty@tty1.service console-getty.service systemd-networkd-wait-online.service >/dev/null 2>&1
systemctl set-default multi-user.target >/dev/null 2>&1
