package main

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"errors"
	"io"
	"path"
	"slices"
	"time"
)

// file is a file of an archive; its name may have folders in it.
type file struct {
	name       string
	content    []byte
	executable bool
}

// writeArchive writes files in a folder as a compressed archive. In which order they are given,
// when, and by whom, makes no difference.
func writeArchive(out io.Writer, folder string, files []file) error {
	compressed, err := gzip.NewWriterLevel(out, gzip.BestCompression) // with neither name nor time
	if err != nil {
		return err
	}
	archive := tar.NewWriter(compressed)
	sorted := slices.SortedFunc(slices.Values(files), func(a, b file) int { return cmp.Compare(a.name, b.name) })
	for _, f := range sorted {
		if err := archive.WriteHeader(header(folder, f)); err != nil {
			return err
		}
		if _, err := archive.Write(f.content); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), compressed.Close())
}

func header(folder string, f file) *tar.Header {
	mode := int64(0o644)
	if f.executable {
		mode = 0o755
	}
	return &tar.Header{
		Typeflag: tar.TypeReg,
		Name:     path.Join(folder, f.name),
		Size:     int64(len(f.content)),
		Mode:     mode,
		ModTime:  time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		Format:   tar.FormatUSTAR,
	}
}
