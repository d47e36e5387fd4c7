package lambdahost

import (
	"fmt"
	"strconv"
)

// Number reads a setting that must be a whole number of at least 1. It returns 0 if the setting is empty.
func Number(getenv func(string) string, name string) (int, error) {
	text := getenv(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%s is %q: it must be a whole number of at least 1, or empty", name, text)
	}
	return n, nil
}
