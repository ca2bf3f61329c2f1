# TrackFit of LandmarkHMR on real4, as it runs on the free stream; left and right of MediaPipe's 2D repaired.
_base_ = ['../track_fit/lifter_wild.py', '../_base_/datasets/real4.py']

dataset = dict(_base_.pop('real4'), repair_sides=True, _delete_=True)
evaluator = dict(protocol='real4_ray')
