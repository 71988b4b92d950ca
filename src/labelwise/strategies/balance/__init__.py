"""RL-MBA: a policy for several modalities that weighs each by what it adds, and asks for what is hard and unlike the rest."""
