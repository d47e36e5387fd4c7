package endpoint

import "testing"

func TestLocalOverride(t *testing.T) {
	tests := map[bool][]string{
		true: {
			"http://127.0.0.1:8000", "http://127.8.9.10:8000", "http://[::1]:8000", "http://[::ffff:127.0.0.1]:8000",
			"http://172.17.0.1:8000", "http://192.168.1.20", "http://[fd00::1]:8000", "http://localhost:8000", "https://LOCALHOST",
			"http://localhost.:8000/", "http://host.docker.internal:8000", "http://dynamodb-local:8000",
		},
		false: {
			"", "https://dynamodb.eu-west-1.amazonaws.com", "http://dynamodb.cn-north-1.amazonaws.com.cn",
			"https://dynamodb.eu-west-1.api.aws", "https://vpce-1-2.dynamodb.eu-west-1.vpce.amazonaws.com",
			"http://localhost@dynamodb.eu-west-1.amazonaws.com", "http://localhost.example.com",
			"http://host.docker.internal.example.com", "http://8.8.8.8:8000", "http://[2001:db8::1]:8000", "http://134744072:8000",
			"http://0x8080808:8000", "http://169.254.169.254", "http://0.0.0.0:8000", "http://", "localhost:8000", "127.0.0.1:8000",
			"ftp://localhost", "http://local host",
		},
	}
	for want, endpoints := range tests {
		for _, endpoint := range endpoints {
			if got := LocalOverride(endpoint); got != want {
				t.Errorf("LocalOverride(%q) = %v, want %v", endpoint, got, want)
			}
		}
	}
}
