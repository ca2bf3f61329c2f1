# DynaBOA at its rates for 3DPW with evidence in place of the change of features. The limit and the largest number of
# steps are those of r18_until.py, chosen for another network; nobody has run this on 3DPW.
_base_ = './r50_3dpw_ps.py'

adapter = dict(until=4.5, max_extra=11)
