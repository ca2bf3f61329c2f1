# Plain steps on the losses of one frame at BOA's rates for 3DPW until the 2D error is that of r18_until.py. The limit
# and the largest number of steps were chosen for another network; nobody has run this on 3DPW.
_base_ = './r50_3dpw_ps.py'

adapter = dict(scheme='one-stage', upper=('frame',), steps=12, until=4.5)
