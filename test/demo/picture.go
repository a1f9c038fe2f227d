package main

import (
	"fmt"
	"html"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"

	"stillpoint/internal/timeline"
	"stillpoint/messages"
)

// The geometry and colours of the picture, in pixels.
const (
	cellWidth, lineHeight, margin = 8.4, 18.0, 16.0
	pictureColumns                = 100
)

var escape = regexp.MustCompile("\x1b\\[([0-9]+)m")

var fills = map[string]string{"31": "#e5534b", "32": "#57ab5a", "33": "#daaa3f", "36": "#539bf5"}

// draw writes the timeline of a result as an SVG, as a terminal shows it.
func draw(path string, r *messages.Result) error {
	var text strings.Builder
	if err := timeline.Write(&text, r, timeline.Options{Width: pictureColumns, Color: true}); err != nil {
		return err
	}
	lines := strings.Split(strings.TrimRight(text.String(), "\n"), "\n")
	columns := pictureColumns
	for _, l := range lines {
		columns = max(columns, utf8.RuneCountInString(escape.ReplaceAllString(l, "")))
	}
	var b strings.Builder
	w, h := float64(columns)*cellWidth+2*margin, float64(len(lines))*lineHeight+2*margin
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f">`+"\n", w, h, w, h)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="8" fill="#1c2128"/>`+"\n")
	fmt.Fprintf(&b, `<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="14" fill="#adbac7" xml:space="preserve">`+"\n")
	for i, l := range lines {
		y := margin + float64(i)*lineHeight
		column, fill := 0, ""
		for _, part := range splitKeep(l) {
			if m := escape.FindStringSubmatch(part); m != nil {
				switch m[1] {
				case "0":
					fill = ""
				case "1":
				default:
					fill = fills[m[1]]
				}
				continue
			}
			n := utf8.RuneCountInString(part)
			x := margin + float64(column)*cellWidth
			switch {
			case strings.Trim(part, "█▏") == "" && part != "": // bars as rectangles: fonts leave gaps between the blocks
				width := float64(n) * cellWidth
				if part == "▏" {
					width = 2
				}
				fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x, y+3, width, lineHeight-6, fill)
			case strings.TrimSpace(part) != "":
				style := ""
				if fill != "" {
					style = fmt.Sprintf(` fill="%s"`, fill)
				}
				fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" textLength="%.1f"%s>%s</text>`+"\n", x, y+14, float64(n)*cellWidth, style, html.EscapeString(part))
			}
			column += n
		}
	}
	b.WriteString("</g>\n</svg>\n")
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// splitKeep splits a line into escapes and the text between them.
func splitKeep(l string) []string {
	var out []string
	at := 0
	for _, m := range escape.FindAllStringIndex(l, -1) {
		out = append(out, l[at:m[0]], l[m[0]:m[1]])
		at = m[1]
	}
	return append(out, l[at:])
}
