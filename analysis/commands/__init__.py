"""What the commands of ``analysis`` do."""
