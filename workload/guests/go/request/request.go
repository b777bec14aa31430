// Package request has what the guests share whose requests have several fields:
// the fields, each divided from the next by one space, and the answers to what
// cannot be done.
package request

import (
	"errors"
	"strconv"
	"strings"
)

// Split returns the n fields of a request, and whether there are as many, none
// empty.
func Split(request []byte, n int) ([]string, bool) {
	fields := strings.SplitN(string(request), " ", n+1)
	for _, f := range fields {
		if f == "" {
			return nil, false
		}
	}
	return fields, len(fields) == n
}

// Number returns the decimal number of one to fifteen digits that is all of a
// field, and whether there is one from least to most.
func Number(field string, least, most int64) (int64, bool) {
	if len(field) < 1 || len(field) > 15 {
		return 0, false
	}
	var n int64
	for i := range len(field) {
		if field[i] < '0' || field[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(field[i]-'0')
	}
	return n, n >= least && n <= most
}

// Fail appends the answer that tells what was not done.
func Fail(dst []byte, err error) []byte {
	return append(append(dst, "error: "...), err.Error()...)
}

// Refuse returns the error about a request that is not of the form told.
func Refuse(request []byte, form string) error {
	shown := strconv.QuoteToASCII(string(request[:min(len(request), 64)]))
	if len(request) > 64 {
		shown += "..."
	}
	return errors.New("request " + shown + ": want " + form)
}
