"""The fan-out as a Dagster job: dynamic outputs, its default executor."""

import json
from collections.abc import Iterator

import dagster
import work


@dagster.op(out=dagster.DynamicOut(int))
def numbers() -> Iterator[dagster.DynamicOutput]:
    """Return what is fanned out."""
    for number in range(60):
        yield dagster.DynamicOutput(number, mapping_key=str(number))


@dagster.op
def square(number: int) -> int:
    """One of many."""
    return work.square(number)


@dagster.op
def total(squares: list[int]) -> int:
    """Join them."""
    return sum(squares)


@dagster.job
def fan() -> None:
    """Run sixty at once."""
    total(numbers().map(square).collect())


if __name__ == "__main__":
    with (
        dagster.DagsterInstance.get() as instance,
        dagster.execute_job(dagster.reconstructable(fan), instance=instance) as ended,
    ):
        record = instance.get_run_record_by_id(ended.run_id)
        print(json.dumps([record.start_time, record.end_time, ended.output_for_node("total")]))
