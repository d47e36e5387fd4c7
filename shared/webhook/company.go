package webhook

// MaxCompanyLength is the maximum length of a company ID, in characters.
const MaxCompanyLength = 64

// ValidCompany reports whether id is a valid company ID: 1 to 64 characters of A-Z, a-z, 0-9, "_" and "-".
func ValidCompany(id string) bool {
	if id == "" || len(id) > MaxCompanyLength {
		return false
	}
	for i := range len(id) {
		if c := id[i]; !isAlphanumeric(c) && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// CompanyItems is a company with the numbers of its items.
type CompanyItems struct {
	Company  string
	Webhooks int
	// APIKeys includes expired and revoked keys.
	APIKeys int
	// EventTypes are the company's own, including hidden ones.
	EventTypes int
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
