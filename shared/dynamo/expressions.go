package dynamo

// Every expression there is, with the values that it takes. The attributes named in them are no
// reserved words of DynamoDB, so they need no placeholders.
const (
	// Conditions on keys, of queries: [valPartition], and [valPrefix] for the second.
	inPartition  = partitionKey + " = " + valPartition
	withinPrefix = inPartition + " AND begins_with(" + sortKey + ", " + valPrefix + ")"

	isNew   = "attribute_not_exists(" + partitionKey + ")"
	isThere = "attribute_exists(" + partitionKey + ")"

	// Webhooks: [valVersion]. The counter: [valChange], [valQuota]; a company's first webhook makes it.
	isUnchanged     = versionAttr + " = " + valVersion
	count           = "ADD " + webhooksAttr + " " + valChange
	isBelowQuota    = webhooksAttr + " < " + valQuota
	isBelowAnyQuota = "attribute_not_exists(" + webhooksAttr + ") OR " + isBelowQuota

	// Idempotency records: [valNow].
	isNewOrExpired = isNew + " OR " + expiresAtAttr + " <= " + valNow

	// Event types: [valDescription], [valHidden].
	isNewOrHidden = isNew + " OR attribute_exists(" + hiddenAttr + ")"
	isVisible     = isThere + " AND attribute_not_exists(" + hiddenAttr + ")"
	hide          = "SET " + hiddenAttr + " = " + valHidden
	describe      = "SET " + descriptionAttr + " = " + valDescription

	// API keys: [valTime].
	revokeOnce = "SET " + revokedAtAttr + " = if_not_exists(" + revokedAtAttr + ", " + valTime + ")"
)

const (
	valPartition   = ":partition"
	valPrefix      = ":prefix"
	valVersion     = ":version"
	valChange      = ":change"
	valQuota       = ":quota"
	valNow         = ":now"
	valDescription = ":description"
	valHidden      = ":hidden"
	valTime        = ":time"
)
