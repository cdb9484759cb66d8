"""What each command does once its flags are parsed; loaded only by the command that needs it."""
