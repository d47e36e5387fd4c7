package baseurl

import "testing"

func TestValid(t *testing.T) {
	for text, want := range map[string]bool{
		"http://127.0.0.1:8000":                     true,
		"http://[::1]:8000":                         true,
		"https://vpce-1.kms.eu-west-1.vpce.aws.com": true,
		"https://kms.eu-west-1.amazonaws.com/":      true,
		"":                                          false,
		"nonsense":                                  false,
		"127.0.0.1:8000":                            false,
		"localhost:8000":                            false,
		"http://":                                   false,
		"http://:8000":                              false,
		"dynamodb://localhost":                      false,
		"http://user:pw@localhost":                  false,
		"http://localhost/path":                     false,
		"http://localhost/?query=1":                 false,
		"http://localhost/#part":                    false,
		"http://local host":                         false,
		"http://localhost:port":                     false,
	} {
		t.Run(text, func(t *testing.T) {
			if got := Valid(text); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}
