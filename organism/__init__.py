"""How the embedded pair was trained and is measured; a tool beside the package, which ships the result alone."""
