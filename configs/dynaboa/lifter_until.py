# DynaBOA of LandmarkHMR with evidence in place of the change of features, as in r18_until.py.
_base_ = './lifter_wild.py'

adapter = dict(until=4.5, max_extra=11, exemplars=dict(batch=1))
