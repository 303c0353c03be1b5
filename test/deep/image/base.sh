#!/usr/bin/env bash
# Puts together in FOLDER what the Dockerfile needs of the image that it names, from programs of this machine: NODE, npm, two shells, some
# commands, and the certificates. Beside it goes a Dockerfile that makes it an image.
#
#   base.sh FOLDER NODE
set -euo pipefail
folder=$1
node=$2
root=$folder/root
commands=(bash sh env cat chmod cp find ln ls mkdir mv rm sed)

mkdir -p "$root"/usr/{bin,lib,lib64,local/bin,local/etc,local/lib/node_modules} "$root"/etc/ssl/certs "$root"/{root,tmp,run,proc,sys,dev}
chmod 1777 "$root/tmp"
for each in bin lib lib64; do ln -s "usr/$each" "$root/$each"; done

cp "$node" "$root/usr/local/bin/node"
for each in "${commands[@]}"; do cp -L "$(command -v "$each")" "$root/usr/bin/$each"; done
# The whole of the C library, for what packages load on their own, and what else these programs are linked with.
{
  dpkg --listfiles libc6 | grep '\.so'
  ldd "$root/usr/local/bin/node" "$root"/usr/bin/* | grep -o '/[^ :]*\.so[^ :]*'
} | sort -u | while read -r library; do
  if [[ -f $library ]]; then cp -L --parents "$library" "$root"; fi
done

cp -r "$(npm root --global)/npm" "$root/usr/local/lib/node_modules/npm"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
# Where this machine has its packages from.
{
  echo "registry=$(npm config get registry)"
  echo 'cafile=/etc/ssl/certs/ca-certificates.crt'
} >"$root/usr/local/etc/npmrc"

printf 'root:x:0:0:root:/root:/bin/bash\nnode:x:1000:1000::/home/node:/bin/bash\n' >"$root/etc/passwd"
printf 'root:x:0:\nnode:x:1000:\n' >"$root/etc/group"
printf 'FROM scratch\nCOPY root /\nENV PATH=/usr/local/bin:/usr/bin:/bin\n' >"$folder/Dockerfile"
