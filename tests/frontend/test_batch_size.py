import pytest

from intaglio.errors import ImportModelError
from intaglio.frontend.emit.batch_size import BATCH_SIZE as N


def test_neutral_arithmetic_keeps_the_batch_size():
    assert N + 0 is 0 + N is N - 0 is N * 1 is 1 * N is N // 1 is N


@pytest.mark.parametrize(
    ("compute", "text"),
    [
        (lambda: N + 1, "n + 1"),
        (lambda: 1 + N, "1 + n"),
        (lambda: N - 1, "n - 1"),
        (lambda: 0 - N, "0 - n"),
        (lambda: N * 2, "n * 2"),
        (lambda: 2 * N, "2 * n"),
        (lambda: N // 2, "n / 2"),
        (lambda: 1 // N, "1 / n"),
        (lambda: N * N, "n * n"),
    ],
)
def test_any_other_arithmetic_is_refused(compute, text):
    with pytest.raises(ImportModelError) as caught:
        compute()
    assert str(caught.value) == (
        f"The batch size takes part in arithmetic: {text}. Keep the batch as an axis of its own "
        "and compute with the other sizes only."
    )
