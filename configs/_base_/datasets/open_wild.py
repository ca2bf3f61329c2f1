# The free target domain: eight videos of forty frames under every shift, 2D with a detector's errors.
dataset = dict(type='OpenStream', domain='wild', sequences=8, frames=40, seed=0, noise='detector')
evaluator = dict(type='MeshEvaluator', protocol='open')
