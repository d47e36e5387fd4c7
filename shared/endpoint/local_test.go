package endpoint

import "testing"

func TestLocalOverride(t *testing.T) {
	tests := []struct {
		endpoint string
		want     bool
	}{
		{"http://127.0.0.1:8000", true},
		{"http://127.8.9.10:8000", true},
		{"http://[::1]:8000", true},
		{"http://[::ffff:127.0.0.1]:8000", true},
		{"http://172.17.0.1:8000", true},
		{"http://192.168.1.20", true},
		{"http://[fd00::1]:8000", true},
		{"http://localhost:8000", true},
		{"https://LOCALHOST", true},
		{"http://localhost.:8000/", true},
		{"http://host.docker.internal:8000", true},
		{"http://dynamodb-local:8000", true},

		{"", false},
		{"https://dynamodb.eu-west-1.amazonaws.com", false},
		{"http://dynamodb.cn-north-1.amazonaws.com.cn", false},
		{"https://dynamodb.eu-west-1.api.aws", false},
		{"https://vpce-1-2.dynamodb.eu-west-1.vpce.amazonaws.com", false},
		{"http://localhost@dynamodb.eu-west-1.amazonaws.com", false},
		{"http://localhost.example.com", false},
		{"http://host.docker.internal.example.com", false},
		{"http://8.8.8.8:8000", false},
		{"http://[2001:db8::1]:8000", false},
		{"http://134744072:8000", false},
		{"http://0x8080808:8000", false},
		{"http://169.254.169.254", false},
		{"http://0.0.0.0:8000", false},
		{"http://", false},
		{"localhost:8000", false},
		{"127.0.0.1:8000", false},
		{"ftp://localhost", false},
		{"http://local host", false},
	}
	for _, test := range tests {
		t.Run(test.endpoint, func(t *testing.T) {
			if got := LocalOverride(test.endpoint); got != test.want {
				t.Errorf("LocalOverride(%q) is %v, want %v", test.endpoint, got, test.want)
			}
		})
	}
}
