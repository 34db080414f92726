"""What a campaign of kills writes down."""

import json
from collections import Counter

from benchmarks.kills import Found, Kill, _record


def test_the_record_of_a_campaign_is_json_with_all_that_was_done() -> None:
    found = Found(Counter({"runs logged": 7}), ["a run is lost"])
    told = json.loads(_record(3, 60, [Kill("redis", "all", 1.5, 2.0)], found))
    assert told == {
        "seed": 3,
        "seconds": 60,
        "kills": [{"service": "redis", "what": "all", "at": 1.5, "seconds": 2.0}],
        "done": {"runs logged": 7},
        "wrong": ["a run is lost"],
    }
