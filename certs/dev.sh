#!/bin/sh
# Creates a CA and a certificate that it signs, to try Lockstep on your own machine.
#   certs/dev.sh FOLDER NAME...      writes FOLDER/ca.crt, FOLDER/tls.crt and FOLDER/tls.key
# The CA's key is deleted after it has signed, so it can sign nothing else.
set -eu
umask 077

if [ $# -lt 2 ]; then
    echo "usage: $0 FOLDER NAME..." >&2
    exit 2
fi
folder=$1
shift
names=
for name in "$@"; do
    case $name in
        *[!0-9.]*) kind=DNS ;;
        *) kind=IP ;;
    esac
    names="${names:+$names,}$kind:$name"
done

mkdir -p "$folder"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

new_key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1"; }

new_key "$scratch/ca.key"
openssl req -x509 -new -key "$scratch/ca.key" -days 30 -subj "/CN=lockstep trial CA" \
    -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -out "$folder/ca.crt"

new_key "$folder/tls.key"
printf '%s\n' "subjectAltName=$names" "basicConstraints=critical,CA:FALSE" "keyUsage=critical,digitalSignature" \
    "extendedKeyUsage=serverAuth" "subjectKeyIdentifier=hash" "authorityKeyIdentifier=keyid" >"$scratch/leaf"
openssl req -new -key "$folder/tls.key" -subj "/CN=lockstep" -out "$scratch/leaf.csr"
openssl x509 -req -in "$scratch/leaf.csr" -CA "$folder/ca.crt" -CAkey "$scratch/ca.key" -CAcreateserial \
    -CAserial "$scratch/serial" -days 30 -extfile "$scratch/leaf" -out "$folder/tls.crt" 2>/dev/null
chmod 644 "$folder/ca.crt" "$folder/tls.crt"
echo "wrote $folder/ca.crt, $folder/tls.crt and $folder/tls.key, for $names; they expire in 30 days"
