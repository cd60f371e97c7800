"""The main job, told on the terminal, and judged afterwards by what the chargers themselves wrote down."""
