# The example's adapter on the free wild stream, with the bundled start model. Its rates were not tuned.
_base_ = '../../../configs/source/r18_wild.py'
adapter = dict(_delete_=True, type='KeypointTuner', lr=1e-4, steps=2, loss=dict(type='GemanMcClure', scale=0.2))
