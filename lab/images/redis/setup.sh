install -d -m 0777 -o redis -g redis /data
