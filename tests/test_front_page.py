"""`import slr_probe` is light, and every name on its front page loads."""

import subprocess
import sys

import slr_probe


def test_import_is_light():
    heavy = "{'torch', 'transformers', 'numpy', 'pandas', 'matplotlib'}"
    program = f"import sys, slr_probe; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_every_name_loads_under_its_own_name():
    assert set(slr_probe.__all__) <= set(dir(slr_probe))
    for name in slr_probe.__all__:
        assert getattr(slr_probe, name).__name__ == name
