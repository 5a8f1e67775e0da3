package codec

import "strconv"

// AppendDataHeader appends the opening of a data message of n updates, which
// AppendUpdate appends after it: [0, sent_at, update...].
func AppendDataHeader(dst []byte, sentAt int64, n int) []byte {
	w := getWriter(dst)
	w.array(2 + n)
	w.int(int64(TypeData))
	w.int(sentAt)
	return w.put()
}

// AppendDataHeaderJSON appends the opening of a data message; updates follow, with
// commas between them, then AppendDataEndJSON.
func AppendDataHeaderJSON(dst []byte, sentAt int64) []byte {
	dst = append(dst, `{"type":"data","sent_at":`...)
	return append(strconv.AppendInt(dst, sentAt, 10), `,"updates":[`...)
}

// AppendDataEndJSON closes what AppendDataHeaderJSON opened.
func AppendDataEndJSON(dst []byte) []byte { return append(dst, ']', '}') }
