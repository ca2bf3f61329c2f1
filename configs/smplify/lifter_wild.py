# SMPLify of LandmarkHMR's predictions on the free wild stream, every frame by itself, as in r18_wild.py.
_base_ = '../source/lifter_wild.py'

adapter = dict(type='SMPLify', lr=1e-2, camera_steps=100, steps=100, scope='frame')
