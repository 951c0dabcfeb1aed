// A room whose sources are all headers.
