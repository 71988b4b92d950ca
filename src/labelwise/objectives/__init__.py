"""What a network lowers while it trains, beside plain cross-entropy."""
