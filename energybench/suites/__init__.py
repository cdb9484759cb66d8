"""Another project's asv suite, unchanged, measured in joules a call."""
