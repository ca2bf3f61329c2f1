# SMPLify of the free start model's predictions on the free wild stream, every frame by itself, with SPIN's numbers.
_base_ = '../source/r18_wild.py'

adapter = dict(type='SMPLify', lr=1e-2, camera_steps=100, steps=100, scope='frame')
