from tests.study.conftest import done

__all__ = ["done"]
