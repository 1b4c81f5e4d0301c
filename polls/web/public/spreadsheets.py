"""Spreadsheets as files: CSV (RFC 4180) and XLSX."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import xlsxwriter

# A program that opens a CSV file takes a cell that begins with one of these for a formula, which may read other files
# or send them away (https://owasp.org/www-community/attacks/CSV_Injection).
_FORMULA = tuple(
    "=+-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)

_FIRST_COLUMN, _OTHER_COLUMNS = 40, 16  # widths, in characters


class Number(NamedTuple):
    """A number with its `text`, and with the number format by which a spreadsheet shows the same."""

    value: float
    text: str
    format: str


Cell = str | int | Number


class Sheet(NamedTuple):
    """A table with its `header`, below rows `about` it, each a name and a value. `name` is that of the worksheet.

    `at` is the time to which the sheet applies.
    """

    name: str
    at: datetime
    about: Sequence[tuple[str, Cell]]
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def csv_lines(rows: Iterable[Sequence[Cell]], width: int) -> bytes:
    """Return `rows` as lines of CSV in UTF-8, each with `width` fields.

    Texts that programs would take for formulas get an apostrophe in front.
    """
    lines = io.StringIO()
    csv.writer(lines).writerows([*map(_csv_field, row), *[""] * (width - len(row))] for row in rows)
    return lines.getvalue().encode()


def csv_head(sheet: Sheet) -> bytes:
    """Return the beginning of a CSV file: the byte order mark, by which Excel knows UTF-8, `about`, and the header."""
    rows = [*sheet.about, (), sheet.header]
    return b"\xef\xbb\xbf" + csv_lines(rows, len(sheet.header))


def as_csv(sheet: Sheet) -> bytes:
    """Return `sheet` as a CSV file."""
    return csv_head(sheet) + csv_lines(sheet.rows, len(sheet.header))


def as_xlsx(sheet: Sheet) -> bytes:
    """Return `sheet` as an XLSX file. Texts are texts in it, never formulas, numbers or links."""
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as workbook:
        workbook.set_properties({"created": sheet.at.astimezone(UTC).replace(tzinfo=None)})
        worksheet = workbook.add_worksheet(sheet.name)
        worksheet.set_column(0, 0, _FIRST_COLUMN)
        worksheet.set_column(1, len(sheet.header) - 1, _OTHER_COLUMNS)
        bold, plain = workbook.add_format({"bold": True}), workbook.add_format({"align": "left"})
        formats = {}
        table = [*sheet.about, (), sheet.header, *sheet.rows]
        header = len(sheet.about) + 1
        for row, cells in enumerate(table):
            for column, cell in enumerate(cells):
                if isinstance(cell, str):
                    is_bold = row == header or (row < header and column == 0)
                    worksheet.write_string(row, column, cell, bold if is_bold else plain)
                elif isinstance(cell, int):
                    worksheet.write_number(row, column, cell, plain if row < header else None)
                else:
                    if cell.format not in formats:
                        formats[cell.format] = workbook.add_format({"num_format": cell.format})
                    worksheet.write_number(row, column, cell.value, formats[cell.format])
    return file.getvalue()


def _csv_field(cell: Cell) -> str | int:
    if isinstance(cell, str):
        return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell
    return cell.text if isinstance(cell, Number) else cell
