"""A package that could not be looked up is none without faults."""

import json

from harness.audit import summary

SOUND = {"name": "a", "version": "1", "vulns": []}
FAULTY = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1"}, {"id": "CVE-2"}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


def test_faults_are_named_and_what_was_skipped_is_counted():
    known = summary(json.dumps({"dependencies": [SOUND, FAULTY, SKIPPED], "fixes": []}))
    assert known == (
        "pip-audit knows 2 faults of the 2 packages that it could ask about; b 2: CVE-1, b 2: CVE-2; "
        "1 could not be looked up (not found)"
    )
    none = summary(json.dumps({"dependencies": [SKIPPED, SKIPPED]}))
    assert (
        none
        == "pip-audit knows 0 faults of the 0 packages that it could ask about; 2 could not be looked up (not found)"
    )
    assert summary("No such host") is None
    assert summary("[]") is None
