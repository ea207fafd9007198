"""The task families in the forms that the embedded pair was trained on."""
