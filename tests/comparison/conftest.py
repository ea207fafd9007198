from tests.validation.conftest import qa

__all__ = ["qa"]
