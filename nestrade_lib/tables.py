"""Rows of cells as a text table and as an HTML table."""

import html


def text_table(rows, columns):
    """Lines with two spaces between columns; of each, "<" or ">" and its least width.

    >>> print(text_table([("layer", "MACs"), ("conv1", "12")], ("<", ">8")))
    layer      MACs
    conv1        12
    """
    padded = []
    for cells, (side, *least) in zip(zip(*rows), columns, strict=True):
        width = max(int("".join(least) or 0), *map(len, cells))
        padded.append([f"{cell:{side}{width}}" for cell in cells])
    return "\n".join("  ".join(cells).rstrip() for cells in zip(*padded))


def html_table(rows, columns=None):
    """A table whose first row is its head; sides as for text, or as the page has them.

    >>> html_table([("layer",), ("conv1",)])
    '<table><thead><tr><th>layer</th></tr></thead><tbody><tr><td>conv1</td></tr></tbody></table>'
    """
    sides = {"<": "left", ">": "right"}
    head, *body = rows
    styles = [f' style="text-align:{sides[column[0]]}"' for column in columns or ()]
    styles = styles or [""] * len(head)

    def line(tag, cells):
        cells = zip(map(html.escape, cells), styles, strict=True)
        return f"<tr>{''.join(f'<{tag}{style}>{cell}</{tag}>' for cell, style in cells)}</tr>"

    body = "".join(line("td", cells) for cells in body)
    return f"<table><thead>{line('th', head)}</thead><tbody>{body}</tbody></table>"
