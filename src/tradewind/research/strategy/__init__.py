"""What a strategy file may say."""
