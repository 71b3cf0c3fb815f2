// Package lines reads questions and writes answers, one JSON object a line
// each. It is a part of every oracle.
package lines

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Main answers the questions on standard input until it ends, and ends the
// process.
func Main(answer func(question []byte) (any, error)) {
	if err := run(os.Stdin, os.Stdout, answer); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(input io.Reader, output io.Writer, answer func([]byte) (any, error)) error {
	reader := bufio.NewReaderSize(input, 1<<20)
	writer := bufio.NewWriterSize(output, 1<<20)
	encoder := json.NewEncoder(writer)
	for {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return writer.Flush()
		}
		if err != nil {
			return err
		}
		answered, err := answer(line)
		if err != nil {
			return fmt.Errorf("%w in the question %s", err, line)
		}
		if err := encoder.Encode(answered); err != nil {
			return err
		}
		// Whoever asks one question waits for its answer.
		if reader.Buffered() == 0 {
			if err := writer.Flush(); err != nil {
				return err
			}
		}
	}
}
