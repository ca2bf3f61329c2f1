# The same with changes of rank 4 in place of whole weights.
_base_ = './hmr2_small_wild.py'

adapter = dict(parameters='lora(4)', lr=2e-3, inner_lr=3e-3)
