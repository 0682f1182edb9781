package render

func init() { register(engine{"docker"}) }
