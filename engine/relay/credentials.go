package main

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // required by the format of the credentials
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/pion/stun/v3"
	"github.com/pion/turn/v5"
)

// authenticate returns the check of short-lived credentials as the media server makes them (draft-uberti-behave-turn-rest):
// the name is `expiry:person`, the password its HMAC-SHA-1 under the shared secret.
//
// The expiry holds for new relays; those that exist may be refreshed, as a class lasts longer than a credential.
func authenticate(secret string) turn.AuthHandler {
	return func(request *turn.RequestAttributes) (string, []byte, bool) {
		expiry, person, found := strings.Cut(request.Username, ":")
		seconds, err := strconv.ParseInt(expiry, 10, 64)
		if !found || person == "" || err != nil {
			return "", nil, false
		}
		if request.Method == stun.MethodAllocate && time.Now().After(time.Unix(seconds, 0)) {
			return "", nil, false
		}
		code := hmac.New(sha1.New, []byte(secret))
		code.Write([]byte(request.Username))
		password := base64.StdEncoding.EncodeToString(code.Sum(nil))
		return person, turn.GenerateAuthKey(request.Username, request.Realm, password), true
	}
}
