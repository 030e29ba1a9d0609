// Package bootstrap keeps the cluster's identity (authorities, keys, passwords) in the datastore, encrypted with the
// server's token, so that datastore and token together are the whole cluster, as they are for k3s.
package bootstrap

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
)

const (
	prefix     = "/bootstrap"
	iterations = 4096
	keyBytes   = 32
	saltBytes  = 8
)

// Key is where the record of a token's password lies in the datastore.
func Key(password string) string {
	sum := sha256.Sum256([]byte(password))
	return prefix + "/" + hex.EncodeToString(sum[:])[:12]
}

func sealer(password, salt string) (cipher.AEAD, error) {
	key, err := pbkdf2.Key(sha1.New, password, []byte(salt), iterations, keyBytes)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func encrypt(password string, plain []byte) ([]byte, error) {
	raw := make([]byte, saltBytes)
	if _, err := rand.Read(raw); err != nil {
		return nil, err
	}
	salt := hex.EncodeToString(raw)
	seal, err := sealer(password, salt)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, seal.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	sealed := seal.Seal(nonce, nonce, plain, nil)
	return []byte(salt + ":" + base64.StdEncoding.EncodeToString(sealed)), nil
}

func decrypt(password string, stored []byte) ([]byte, error) {
	salt, text, found := strings.Cut(string(stored), ":")
	if !found {
		return nil, errors.New("invalid cipher text, not : delimited")
	}
	seal, err := sealer(password, salt)
	if err != nil {
		return nil, err
	}
	sealed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	if len(sealed) < seal.NonceSize() {
		return nil, errors.New("invalid cipher text, too short")
	}
	return seal.Open(nil, sealed[:seal.NonceSize()], sealed[seal.NonceSize():], nil)
}
