"""A judgement as JUnit XML: regressions fail, what could not be judged is an error, what stays open is skipped."""

import re
from xml.etree import ElementTree as ET

from energybench.gating.outputs import words
from energybench.gating.verdicts import Judgement, Verdict

NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML 1.0 document may hold, however it is written (W3C, section 2.2)."""
TAGS = {
    "regression": "failure",
    "not measured": "error",
    "not comparable": "error",
    "inconclusive": "skipped",
    "left out": "skipped",
}


def junit(judgement: Judgement) -> str:
    """One test case a series; where nothing was compared, one more that says so."""
    suite = ET.Element("testsuite", name="energybench gate")
    for one in judgement.verdicts:
        _case(suite, one)
    if judgement.reason:
        case = ET.SubElement(suite, "testcase", classname="energybench", name="gate")
        ET.SubElement(case, "error", type=judgement.word, message=_clean(judgement.reason))
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(sum(case.find(tag) is not None for case in cases)))
    lines = [words.heading(judgement), words.counts(judgement), *words.sentences(judgement), *words.notes(judgement)]
    ET.SubElement(suite, "system-out").text = _clean("\n".join(lines))
    whole = ET.Element("testsuites")
    whole.append(suite)
    ET.indent(whole)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(whole, encoding="unicode") + "\n"


def _case(suite: ET.Element, verdict: Verdict) -> None:
    point = verdict.key.label.removesuffix(f" · {verdict.key.metric}")
    case = ET.SubElement(suite, "testcase", classname=_clean(point), name=_clean(verdict.key.metric))
    tag = "skipped" if verdict.allowed else TAGS.get(verdict.word)
    text = _clean(_text(verdict))
    if tag is None:
        ET.SubElement(case, "system-out").text = text
        return
    found = ET.SubElement(case, tag, message=text)
    if tag != "skipped":
        found.set("type", verdict.word)


def _text(verdict: Verdict) -> str:
    numbers = f"{words.value(verdict.base, verdict)} to {words.value(verdict.head, verdict)}"
    parts = [f"{verdict.word}: {numbers} ({verdict.provenance})"]
    if verdict.change is not None:
        parts.append(f"{words.change(verdict)}, margin {words.margin(verdict)}")
    return "; ".join([*parts, why] if (why := words.reason(verdict)) else parts)


def _clean(text: str) -> str:
    return NO_XML.sub("\ufffd", text)
