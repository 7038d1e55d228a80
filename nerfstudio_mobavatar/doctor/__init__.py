"""`mobavatar doctor`: looks at a capture before anybody trains on it, and says what is wrong with it in plain words."""
