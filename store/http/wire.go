package http

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

// A report is sent in the format of a spool file (store/spool), so that there is one on disk and on the wire, and with one frame more:
//
//	document <sha256> <bytes>                      the document, byte for byte
//	blob <kind> <digest> <bytes> <stored bytes>    the content as one zstd frame
//	uploaded <kind> <digest> <bytes>               a blob that was uploaded before, or that the server has
//	end <frames before this one>
//
// A spool file is thus a report that can be sent as it lies.
const (
	wireMagic     = "runpin spool 1\n"
	maxWireHeader = 256
	maxWireFrames = 1 << 17
)

// wireReport is a report as it was sent.
type wireReport struct {
	documents [][]byte
	blobs     []schema.Blob
	uploaded  []schema.BlobRef
}

var packer = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
})

// encodeReport makes the body of a report; inline holds the content of blobs by digest, in memory and verified.
func encodeReport(documents [][]byte, inline []inlineBlob, uploaded []schema.BlobRef) []byte {
	var b bytes.Buffer
	b.WriteString(wireMagic)
	for _, d := range documents {
		fmt.Fprintf(&b, "document %s %d\n%s\n", schema.SHA256(d), len(d), d)
	}
	for _, blob := range inline {
		packed := packer().EncodeAll(blob.content, nil)
		fmt.Fprintf(&b, "blob %s %s %d %020d\n%s\n", blob.ref.Kind, blob.ref.Digest, blob.ref.Bytes, len(packed), packed)
	}
	for _, ref := range uploaded {
		fmt.Fprintf(&b, "uploaded %s %s %d\n\n", ref.Kind, ref.Digest, ref.Bytes)
	}
	fmt.Fprintf(&b, "end %d\n", len(documents)+len(inline)+len(uploaded))
	return b.Bytes()
}

type inlineBlob struct {
	ref     schema.BlobRef
	content []byte
}

// decodeReport reads the body of a report. What it gives points into body. Contents of blobs are not unpacked yet: who saves them verifies them.
func decodeReport(body []byte) (wireReport, error) {
	r, err := parseReport(body)
	if err != nil {
		return wireReport{}, invalid("the report", "it may have been cut short on its way: send it again", err)
	}
	return r, nil
}

func parseReport(body []byte) (wireReport, error) {
	var report wireReport
	rest, ok := bytes.CutPrefix(body, []byte(wireMagic))
	if !ok {
		return report, errors.New("it is not a report, or one of a newer version")
	}
	take := func(size int64) ([]byte, error) {
		if size < 0 || size >= int64(len(rest)) || rest[size] != '\n' {
			return nil, errors.New("a frame does not end where it says")
		}
		payload := rest[:size:size]
		rest = rest[size+1:]
		return payload, nil
	}
	room := int64(maxUnpacked)
	for frames := 0; frames < maxWireFrames; frames++ {
		end := bytes.IndexByte(rest[:min(len(rest), maxWireHeader)], '\n')
		if end < 0 {
			return report, errors.New("it is not whole")
		}
		line := string(rest[:end])
		rest = rest[end+1:]
		fields := strings.Split(line, " ")
		switch {
		case fields[0] == "end" && len(fields) == 2:
			if fields[1] != strconv.Itoa(frames) || len(rest) > 0 {
				return report, errors.New("it does not end where it says")
			}
			return report, nil
		case fields[0] == "document" && len(fields) == 3:
			size, err := strconv.ParseInt(fields[2], 10, 64)
			if err != nil || size > schema.MaxDocumentBytes {
				return report, fmt.Errorf("a document of %s bytes is too large", schema.Shorten(fields[2], 20))
			}
			content, err := take(size)
			if err != nil {
				return report, err
			}
			if got := schema.SHA256(content); string(got) != fields[1] {
				return report, errors.New("a document is not what was sent")
			}
			report.documents = append(report.documents, content)
		case fields[0] == "blob" && len(fields) == 5:
			ref, err := parseRef(fields[1], fields[2], fields[3])
			if err != nil {
				return report, err
			}
			stored, err := strconv.ParseInt(fields[4], 10, 64)
			if err != nil {
				return report, err
			}
			if ref.Bytes > room { // who saves a report has to unpack it
				return report, fmt.Errorf("its blobs have more than %d bytes together: large ones are uploaded before", maxUnpacked)
			}
			room -= ref.Bytes
			packed, err := take(stored)
			if err != nil {
				return report, err
			}
			report.blobs = append(report.blobs, packedBlob(ref, packed))
		case fields[0] == "uploaded" && len(fields) == 4:
			ref, err := parseRef(fields[1], fields[2], fields[3])
			if err != nil {
				return report, err
			}
			if _, err := take(0); err != nil {
				return report, err
			}
			report.uploaded = append(report.uploaded, ref)
		default:
			return report, fmt.Errorf("a frame is not known: %q", schema.Shorten(line, 40))
		}
	}
	return report, errors.New("it has too many frames")
}

func parseRef(kind, digest, size string) (ref schema.BlobRef, err error) {
	if ref.Digest, err = schema.ParseDigest(digest); err != nil {
		return ref, err
	}
	ref.Kind = schema.BlobKind(kind)
	if ref.Bytes, err = strconv.ParseInt(size, 10, 64); err != nil {
		return ref, err
	}
	return ref, store.CheckBlobRef(ref)
}

// smallUnpacker never gives more than the room it is lent.
var smallUnpacker = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderLowmem(true))
	if err != nil {
		panic(err)
	}
	return d
})

const smallBlob = 1 << 20

// packedBlob is a blob whose packed content lies in memory. A bomb is read no further than what the blob was announced with.
func packedBlob(ref schema.BlobRef, packed []byte) schema.Blob {
	return schema.Blob{Ref: ref, Open: func() (io.ReadCloser, error) {
		if ref.Bytes <= smallBlob {
			plain, err := smallUnpacker().DecodeAll(packed, make([]byte, 0, ref.Bytes))
			if err != nil {
				return nil, invalid("blob "+ref.Digest.Short(), "", err)
			}
			return io.NopCloser(bytes.NewReader(plain)), nil
		}
		r, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(32<<20), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		return r.IOReadCloser(), nil
	}}
}
