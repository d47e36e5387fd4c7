package webhook

// ErrorClass is why an attempt to deliver an event was not successful, as the API shows it.
type ErrorClass string

// All classes.
const (
	ErrorDNS     ErrorClass = "dns"     // the receiver's name could not be looked up
	ErrorConnect ErrorClass = "connect" // no connection
	ErrorTLS     ErrorClass = "tls"     // no TLS handshake, or an invalid certificate
	ErrorTimeout ErrorClass = "timeout" // no response in time
	ErrorBlocked ErrorClass = "blocked" // the address is not allowed
	ErrorHTTP    ErrorClass = "http"    // no valid HTTP response
	ErrorStatus  ErrorClass = "status"  // a response that is not 2xx
)
