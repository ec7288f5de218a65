"""The appendix' page of faults has what the records have."""

from benchmarks.faults.page import PAGE, page, records, survived

RECORDS = records()


def test_the_page_is_made_from_the_records():
    assert PAGE.read_text(encoding="utf-8") == page(RECORDS)


def test_every_fault_of_the_records_was_survived():
    assert RECORDS
    assert [
        kind for kind, rows in RECORDS.items() if not all(map(survived, rows))
    ] == []
