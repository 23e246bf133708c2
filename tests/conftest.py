"""Hypothesis profiles: ``dev`` explores anew each time, ``ci`` (when CI=true) repeats itself.

``pytest --hypothesis-profile=long`` searches for longer.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "dev", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, print_blob=True)
settings.register_profile("long", settings.get_profile("dev"), max_examples=2000)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "dev")
