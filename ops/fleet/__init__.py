"""Virtual chargers made of real programs: boot ROM, firmware images, agents of `device_client`, and who starts them."""
